# The mock as an image: `docker build --tag aione-mock .`; docs/how-to/image.md says how it is used.
# tests/test_image.py runs these steps without a registry.
ARG PYTHON=3.13

# the wheel is the same for every architecture, so it is built on the builder's own; Node comes from a package of Python
FROM --platform=$BUILDPLATFORM python:${PYTHON}-slim AS wheel
WORKDIR /src
COPY . .
RUN python -m pip install --quiet --no-cache-dir --disable-pip-version-check "build>=1.2,<2" \
 && python scripts/build_page.py \
 && python -m build --wheel --outdir /dist

FROM python:${PYTHON}-slim AS install
COPY --from=wheel /dist /dist
RUN python -m venv /opt/aione-mock \
 && wheel=$(ls /dist/*.whl) \
 && /opt/aione-mock/bin/pip install --quiet --no-cache-dir --no-compile --disable-pip-version-check \
    "${wheel}[mcp,metrics,otel,redis,tls]" \
 && /opt/aione-mock/bin/pip uninstall --quiet --yes --disable-pip-version-check pip \
 && /opt/aione-mock/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/aione-mock/lib \
 && /opt/aione-mock/bin/aione-mock spec routes > /dev/null

FROM python:${PYTHON}-slim
ARG VERSION=""
ARG REVISION=""
LABEL org.opencontainers.image.title="aione-mock" \
      org.opencontainers.image.description="A mock of the AIone LLM gateway, driven by its OpenAPI contract" \
      org.opencontainers.image.source="https://github.com/aione-mock/aione-mock" \
      org.opencontainers.image.documentation="https://aione-mock.github.io/aione-mock/" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
RUN useradd --system --uid 10001 --user-group --home-dir /tmp --no-create-home mock
COPY --from=install /opt/aione-mock /opt/aione-mock
# Who may reach the port is decided where it is published. Set AIONE_MOCK_CONTROL_TOKEN where strangers can.
ENV PATH=/opt/aione-mock/bin:$PATH \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    AIONE_MOCK_HOST=0.0.0.0 \
    AIONE_MOCK_PORT=8000 \
    AIONE_MOCK_CONTROL=open
# an aione-mock.yaml that is mounted here is used
WORKDIR /config
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=20s --retries=3 \
  CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['AIONE_MOCK_PORT']), timeout=2); c.request('GET', '/_mock/ready'); sys.exit(c.getresponse().status >= 500)"]
ENTRYPOINT ["aione-mock"]
CMD ["serve"]
