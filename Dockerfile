# The production image: `docker run … calliyo web|worker|beat` starts that line of the Procfile.
FROM python:3.11-slim AS packages
RUN python -m venv /opt/venv
COPY requirements.txt .
RUN /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --requirement requirements.txt

FROM python:3.11-slim
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    CALLIYO_DATA_DIR=/var/lib/calliyo \
    GUNICORN_CMD_ARGS="--worker-tmp-dir /dev/shm"
RUN useradd --system --uid 10001 --home-dir /var/lib/calliyo --create-home calliyo
COPY --from=packages /opt/venv /opt/venv
WORKDIR /app
COPY manage.py Procfile gunicorn.conf.py ./
COPY calliyo calliyo
COPY apikeys apikeys
COPY leads leads
COPY webhooks webhooks
USER calliyo
# Static files are part of the image; the keys that the embedded default makes for itself are not.
RUN python manage.py collectstatic --noinput --verbosity 0 \
    && find /var/lib/calliyo -mindepth 1 -maxdepth 1 ! -name static -exec rm -r {} +
EXPOSE 8000
# `exec`, so that the process gets the container's signals; the Procfile's line reads the environment.
ENTRYPOINT ["/bin/sh", "-c", "line=$(sed -n \"s/^$0: //p\" Procfile); [ -n \"$line\" ] || { echo \"The Procfile has no process $0.\" >&2; exit 2; }; eval \"exec $line\""]
CMD ["web"]
