"""What is compressed by a filter that HDF5 loads while it runs is smaller, and comes back."""

from pathlib import Path

import netCDF4
import numpy as np

values = np.arange(100_000, dtype="i4") // 100
for compression in ("zlib", "bzip2"):
    with netCDF4.Dataset(f"{compression}.nc", "w") as file:
        file.createDimension("time", len(values))
        variable = file.createVariable("volume", "i4", ("time",), compression=compression)
        variable[:] = values
        assert variable.filters()[compression]
    assert Path(f"{compression}.nc").stat().st_size < values.nbytes / 4
    with netCDF4.Dataset(f"{compression}.nc") as file:
        assert (file["volume"][:] == values).all()
