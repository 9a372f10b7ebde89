"""Panoptic segmentation over HTTP and WebSocket, and the page that shows it.

`pansight serve` is the way in; `pansight.serve.application.build_application` makes the same thing as an ASGI
application, for those with a server of their own (see deploy/). Needs the extra `serve`.
"""
