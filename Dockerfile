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

# Liveness, so that an outage of the database does not make the platform restart what works. http.client asks
# no proxy: Docker passes http_proxy of the machine on.
HEALTHCHECK --start-period=120s --interval=10s --timeout=5s CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['PORT']), timeout=4); c.request('GET', '/livez'); sys.exit(c.getresponse().status != 200)"]

# Where nothing else migrates, the container does, as soon as its database is up. Without DATABASE_URL gunicorn
# says so. An empty WEB_CONCURRENCY, as an env file may have it, gunicorn itself cannot read. The shell is process 1,
# which TERM ends only with a trap, and the trap runs only while it waits.
CMD ["sh", "-c", "[ \"$WEB_CONCURRENCY\" ] || unset WEB_CONCURRENCY; [ \"$DATABASE_URL\" ] || exec gunicorn; trap 'kill $!; exit 143' TERM INT; pause=1; until flask migrate & wait $!; do sleep $pause & wait $!; pause=$((pause < 8 ? pause * 2 : 8)); done; exec gunicorn"]
