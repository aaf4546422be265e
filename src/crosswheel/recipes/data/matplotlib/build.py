from builder import package_build

package_build.build_package(
    libraries=["freetype", "qhull"],
    config_settings={"setup-args": "-Dsystem-freetype=true -Dsystem-qhull=true"},
    skip_imports={"matplotlib.backends._tkagg": "it wants Tk, which a robot has not"},
)
