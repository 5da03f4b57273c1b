"""Bundles of thin models with random weights."""

from thin import save_random, thin_network

MEMBERS = (("dna", "tight_junction"), ("mitochondria",), ("nucleolus",))


def save_members(folder, members=MEMBERS, **fields):
    """Write a thin model for each tuple of structures; give the paths."""
    return [
        save_random(
            folder / f"thin-{number}.safetensors",
            thin_network(outputs=len(names)),
            seed=number,
            name=f"Thin {number}",
            structures=names,
            **fields,
        )
        for number, names in enumerate(members)
    ]


def make(folder, members=MEMBERS, **how):
    """Make the bundle `several` of them among the user's models; give its folder."""
    from napari_sparsessp.models.bundle import make_bundle

    folder.mkdir(exist_ok=True)
    return make_bundle("several", "Several", save_members(folder, members), **how)
