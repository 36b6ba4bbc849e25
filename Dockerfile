FROM python:3.11-slim

WORKDIR /app
COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt
COPY . .
# A clone made under umask 077 holds files that only their owner can read.
RUN chmod -R a+rX .

# The user needs no name and no home: the service writes its log, and scratch files to /tmp.
USER 10001:10001

# No EXPOSE: Dokku would publish that port in the place of 80.
ENV PORT=8000

# Liveness, so that an outage of the database does not make the platform restart what works.
HEALTHCHECK --start-period=120s --interval=10s --timeout=5s CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/livez', timeout=4)"]

# Where nothing else migrates, the container does. If it cannot, gunicorn says why, or waits for the
# database.
CMD ["sh", "-c", "flask migrate; exec gunicorn"]
