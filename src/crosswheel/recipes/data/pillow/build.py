from builder import package_build

package_build.build_package(
    libraries=["freetype", "lcms2", "libjpeg", "libtiff", "libwebp", "openjpeg", "zlib"],
    config_settings={"platform-guessing": "disable", "raqm": "vendor", "xcb": "disable", "avif": "disable"},
    skip_imports={"PIL._imagingtk": "it wants Tk, which a robot has not"},
    without={"PIL._avif": "Debian's libavif is older than it wants"},
    tests=["test_formats.py"],
)
