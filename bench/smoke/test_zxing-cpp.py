"""A code that is drawn is read; an image without one has none."""

import array

import zxingcpp

made = zxingcpp.create_barcode("plate 0042", zxingcpp.BarcodeFormat.QRCode, ec_level="M")
image = memoryview(made.to_image(scale=4))
(read,) = zxingcpp.read_barcodes(image)
assert read.text == "plate 0042"
assert read.valid
assert read.format == zxingcpp.BarcodeFormat.QRCode
blank = memoryview(array.array("B", bytes([255]) * 10_000)).cast("B", (100, 100))
assert zxingcpp.read_barcodes(blank) == []
