"""rtsp_server.py FILE.mp4 PORT: serves its H.264 video at rtsp://127.0.0.1:PORT/road by GStreamer's RTSP server; says "ready"."""
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

Gst.init(None)
server = GstRtspServer.RTSPServer.new()
server.set_address("127.0.0.1")
server.set_service(sys.argv[2])
factory = GstRtspServer.RTSPMediaFactory.new()
factory.set_launch(f"( filesrc location={sys.argv[1]} ! qtdemux name=d d.video_0 ! queue ! rtph264pay name=pay0 pt=96 )")
server.get_mount_points().add_factory("/road", factory)
if server.attach(None) == 0:
    sys.exit(f"port {sys.argv[2]} is taken")
print("ready", flush=True)
GLib.timeout_add_seconds(60, lambda: sys.exit("nobody ended it"))
GLib.MainLoop().run()
