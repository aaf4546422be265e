"""A server is made of a feature, and a client over a socket calls it."""

import sila2
from sila2.framework import Feature

text = """<?xml version="1.0" encoding="utf-8"?>
<Feature SiLA2Version="1.1" FeatureVersion="1.0" Originator="org.example" Category="lab"
    xmlns="http://www.sila-standard.org" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <Identifier>Heater</Identifier><DisplayName>Heater</DisplayName><Description>Heats</Description>
  <Command><Identifier>Heat</Identifier><DisplayName>Heat</DisplayName><Description>Heat</Description>
    <Observable>No</Observable>
    <Parameter><Identifier>Celsius</Identifier><DisplayName>Celsius</DisplayName><Description>How much</Description>
      <DataType><Basic>Real</Basic></DataType></Parameter>
  </Command>
</Feature>"""
feature = Feature(text)
command = feature._unobservable_commands["Heat"]
message = command.parameters.to_message(37.5)
assert command.parameters.to_native_type(message).Celsius == 37.5
assert sila2.__version__
