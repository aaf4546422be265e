"""Numbers and text go into a file and come back, compressed, with attributes, and in part."""

import h5py
import numpy as np

numbers = np.arange(10_000, dtype="i8").reshape(100, 100) + 2**40
with h5py.File("run.h5", "w") as file:
    data = file.create_dataset("plates/one", data=numbers, compression="gzip", chunks=(10, 10), shuffle=True)
    data.attrs["unit"] = "µL"
    file["names"] = ["A1", "Prüfröhrchen"]
with h5py.File("run.h5") as file:
    assert (file["plates/one"][5:7, ::3] == numbers[5:7, ::3]).all()
    assert file["plates/one"].attrs["unit"] == "µL"
    assert file["names"].asstr()[1] == "Prüfröhrchen"
    assert list(file["plates"]) == ["one"]
