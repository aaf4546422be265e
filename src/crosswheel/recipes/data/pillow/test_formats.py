"""Pictures are drawn, turned and written; every usual format comes back, with text from a font."""

import io

from PIL import Image, ImageCms, ImageDraw, ImageFont, features

for name in ("jpg", "zlib", "libtiff", "webp", "freetype2", "littlecms2", "jpg_2000"):
    assert features.check(name), name
picture = Image.new("RGB", (64, 48), "navy")
drawing = ImageDraw.Draw(picture)
drawing.ellipse((8, 8, 40, 40), fill="orange")
font = ImageFont.load_default(12)
assert isinstance(font, ImageFont.FreeTypeFont)
drawing.text((2, 30), "OT-2", font=font)
for kind, lossless in (
    ("PNG", True),
    ("JPEG", False),
    ("WEBP", False),
    ("TIFF", True),
    ("GIF", False),
    ("JPEG2000", True),
):
    stream = io.BytesIO()
    picture.save(stream, kind, **({"compression": "tiff_adobe_deflate"} if kind == "TIFF" else {}))
    again = Image.open(io.BytesIO(stream.getvalue())).convert("RGB")
    assert again.size == picture.size, kind
    red, green, blue = again.getpixel((24, 20))
    assert abs(red - 255) < 20, (kind, red)
    assert abs(green - 165) < 20, (kind, green)
    assert blue < 30, (kind, blue)
    assert not lossless or again.tobytes() == picture.tobytes(), kind
assert picture.rotate(90, expand=True).resize((10, 10), Image.Resampling.LANCZOS).size == (10, 10)
profile = ImageCms.createProfile("sRGB")
same = ImageCms.profileToProfile(picture, profile, profile)
assert abs(same.getpixel((24, 20))[0] - 255) < 4
