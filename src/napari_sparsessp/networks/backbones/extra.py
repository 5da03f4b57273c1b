"""The optional library that the backbones come from."""

from types import ModuleType

from napari_sparsessp.errors import InputError


def transformers_for(name: str) -> ModuleType:
    """The transformers library, loaded when the first backbone is built.

    Parameters
    ----------
    name : str
        The backbone that needs it, for the message.

    Raises
    ------
    InputError
        It is not installed, or is too old to work with what is.
    """
    try:
        import transformers
    except ImportError as error:
        raise InputError(
            f"backbone {name} needs the transformers library; install it with: "
            'pip install "napari-sparsessp[backbones]"'
        ) from error
    return transformers
