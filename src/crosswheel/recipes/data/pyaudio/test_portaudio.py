"""PortAudio starts, counts its devices, and refuses to play without one."""

import pyaudio

assert "PortAudio" in pyaudio.get_portaudio_version_text()
audio = pyaudio.PyAudio()
assert audio.get_device_count() >= 0
assert pyaudio.get_sample_size(pyaudio.paInt16) == 2
try:
    audio.open(format=pyaudio.paInt16, channels=1, rate=44100, output=True, output_device_index=1000)
except (OSError, ValueError):
    pass
else:
    raise AssertionError("it played on a device that is not there")
audio.terminate()
