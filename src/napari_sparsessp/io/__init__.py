"""Images in through bioio, predictions out as OME-TIFF and OME-Zarr."""
