"""The peers' gunicorn, set as the service's own is."""

import os

bind = f"127.0.0.1:{os.environ['PORT']}"
workers = int(os.environ["WEB_CONCURRENCY"])
worker_class = "gthread"
threads = 16
keepalive = 95
control_socket_disable = True
chdir = os.path.dirname(__file__)
loglevel = "warning"
