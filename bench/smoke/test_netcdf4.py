"""Values with their dimensions and units go into a file and come back, packed."""

import netCDF4
import numpy as np

with netCDF4.Dataset("run.nc", "w") as file:
    file.createDimension("time", None)
    file.createDimension("well", 4)
    volume = file.createVariable("volume", "f4", ("time", "well"), zlib=True)
    volume.units = "uL"
    volume[:] = np.arange(12).reshape(3, 4)
with netCDF4.Dataset("run.nc") as file:
    assert file.dimensions["time"].isunlimited()
    assert file["volume"].units == "uL"
    assert (file["volume"][1:] == np.arange(4, 12).reshape(2, 4)).all()
with netCDF4.Dataset("old.nc", "w", format="NETCDF3_CLASSIC") as file:
    file.title = "old"
assert netCDF4.Dataset("old.nc").title == "old"
