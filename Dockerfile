# copydesk as a small image: a wheel is built and installed in one stage, and only what was installed
# goes into the other. It runs as nobody in particular, and needs to write to the exports and /tmp.
#
#     docker build --tag copydesk:local .                         (--build-arg EXTRAS=llm)

ARG PYTHON_VERSION=3.13

FROM python:${PYTHON_VERSION}-slim AS build
# Comma-separated extras of the package; the development servers are none of an image's business.
ARG EXTRAS=""
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1
WORKDIR /source
RUN python -m venv --without-pip /opt/copydesk
COPY pyproject.toml README.md LICENSE ./
COPY models models
COPY migrations migrations
COPY worker worker
RUN pip wheel --no-deps --wheel-dir /wheels . \
    && pip --python /opt/copydesk/bin/python install \
        "copydesk${EXTRAS:+[$EXTRAS]} @ file://$(echo /wheels/copydesk-*.whl)"

FROM python:${PYTHON_VERSION}-slim
ARG VERSION=local
ARG REVISION=unknown
LABEL org.opencontainers.image.title="copydesk" \
      org.opencontainers.image.description="An event-driven worker for agents that write documents" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# Volumes mounted on exports, archives and backups take this owner over.
RUN groupadd --gid 10001 copydesk \
    && useradd --uid 10001 --gid copydesk --home-dir /var/lib/copydesk --no-create-home \
        --shell /usr/sbin/nologin copydesk \
    && install --directory --owner=copydesk --group=copydesk --mode=0750 \
        /var/lib/copydesk /var/lib/copydesk/exports /var/lib/copydesk/archives \
        /var/lib/copydesk/backups
COPY --from=build /opt/copydesk /opt/copydesk
COPY deploy/worker/healthy.py /opt/copydesk/healthy.py
# What was installed is compiled already, and is not writable.
ENV PATH=/opt/copydesk/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /var/lib/copydesk
USER 10001:10001
STOPSIGNAL SIGTERM
ENTRYPOINT ["copydesk"]
CMD ["worker"]
