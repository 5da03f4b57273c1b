"""The one description from which a network is built."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Count = Annotated[int, Field(ge=1, le=4096)]


class NetworkConfig(BaseModel):
    """Shape of a network; everything that its weights do not say.

    Attributes
    ----------
    topology : {"3to2d"}
        Dimension of encoder and decoder.
    mapping : {"prefix"}
        The sparse stack is interpolated in z before it enters.
    projection : {"3d"}
        Depth is folded into channels after a 1×1×1 convolution.
    conditioning : {"multihead"}
        Everything but the last layer is shared between the structures.
    inputs : int
        Input channels: the interpolated stack, and the distance to the nearest
        measured plane.
    outputs : int
        Structures T.
    depth : int
        Planes D of the dense window; a multiple of 2 to the number of 3D levels.
    encoder_widths : tuple of int
        Channels of the 3D levels, at 1/2, 1/4, … of the resolution.
    encoder_blocks : tuple of int
        Residual blocks on each 3D level.
    decoder_widths : tuple of int
        Channels of the 2D levels from full resolution down; one more than the 3D
        levels.
    folded_width : int
        Channels U after depth is folded; a multiple of every level's depth.
    standardised : bool
        Weights are standardised in the forward pass (while training).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    topology: Literal["3to2d"] = "3to2d"
    mapping: Literal["prefix"] = "prefix"
    projection: Literal["3d"] = "3d"
    conditioning: Literal["multihead"] = "multihead"
    inputs: Count = 2
    outputs: Count = 12
    depth: Count = 32
    encoder_widths: tuple[Count, ...] = (32, 64, 128)
    encoder_blocks: tuple[Count, ...] = (1, 2, 2)
    decoder_widths: tuple[Count, ...] = (96, 128, 192, 256)
    folded_width: Count = 128
    standardised: bool = False

    @model_validator(mode="after")
    def _fits_together(self) -> "NetworkConfig":
        levels = len(self.encoder_widths)
        if len(self.encoder_blocks) != levels or len(self.decoder_widths) != levels + 1:
            raise ValueError(
                "encoder_blocks needs one entry for each of encoder_widths, "
                "decoder_widths one more"
            )
        if levels > 8 or self.depth % 2**levels:
            raise ValueError(
                f"depth {self.depth} is not a multiple of {2**levels}, "
                f"which {levels} levels need"
            )
        if self.folded_width % (self.depth // 2):
            raise ValueError(
                f"folded_width {self.folded_width} is not a multiple of "
                f"{self.depth // 2}"
            )
        return self

    @property
    def stride(self) -> int:
        """Height and width must be multiples of this."""
        return 2 ** len(self.encoder_widths)

    @property
    def reach(self) -> int:
        """Pixels in y and x that an output pixel can see in each direction.

        Along the deepest path: two 3×3 convolutions in each decoder block, one coarse
        pixel in each bilinear step, two in each encoder block, and the strided ones.
        """
        reach, stride = 2, 1
        for level, blocks in enumerate(self.encoder_blocks):
            reach += 2 if level == 0 else stride  # down to the next level
            stride *= 2
            reach += stride * (1 + 2 + 2 * blocks)
        return reach
