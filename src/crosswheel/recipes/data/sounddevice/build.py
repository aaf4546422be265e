from builder import package_build

# Its published wheel looks for a PortAudio on the machine; on a robot there is none, and so it is linked in.
package_build.build_package(prefer="source", patches=["portaudio.patch"], libraries=["portaudio"])
