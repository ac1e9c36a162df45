"""The Settings pages, and the frame that they share with the admin (templates, palette, navigation).

A tab is a folder; its views are thin over the apps' operations. No rule of the product lives here.
"""
