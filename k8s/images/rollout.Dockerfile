# What moves traffic between versions: helm and kubectl as static programs, and the driver with its packages.
ARG BASE=docker.io/library/python:3.11-slim

FROM ${BASE} AS dependencies
COPY requirements.txt /build/requirements.txt
# As in the image of serving: the lock is complete, tests of packages are left out, pip stays in an environment of its
# own, and SIGTERM ends a Python that is the first process. Go's programs see to that themselves.
RUN --mount=type=secret,id=pip,target=/run/secrets/pip.conf --mount=type=secret,id=ca,target=/run/secrets/ca.crt \
    python3 -m venv /build/pip \
    && python3 -m venv --without-pip /app/venv \
    && PIP_CONFIG_FILE=/run/secrets/pip.conf /build/pip/bin/python -m pip --python /app/venv/bin/python install \
        --quiet --disable-pip-version-check --no-cache-dir --no-compile --no-deps --only-binary :all: \
        --require-hashes --requirement /build/requirements.txt \
    && find /app/venv/lib -depth -type d -name tests -exec rm -r {} + \
    && /app/venv/bin/python -m compileall -q --invalidation-mode unchecked-hash /app/venv/lib \
    && printf '%s\n' "import os, signal; os.getpid() == 1 and signal.signal(signal.SIGTERM, lambda n, _: os._exit(128 + n))" \
        >"$(/app/venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/first-process.pth" \
    && printf '%s\n' '#!/app/venv/bin/python' 'from k8s.rollout.cli import main' 'main()' >/app/venv/bin/kubectl-canary \
    && chmod 0755 /app/venv/bin/kubectl-canary \
    && chmod -R u=rwX,go=rX /app/venv

FROM ${BASE} AS code
COPY src /app/src
RUN python3 -m compileall -q --invalidation-mode unchecked-hash /app/src/bentos /app/src/k8s \
    && chmod -R u=rwX,go=rX /app/src

FROM ${BASE}
COPY --from=dependencies /app/venv /app/venv
COPY bin /app/bin
COPY --from=code /app/src /app/src
ENV HOME=/tmp \
    PATH=/app/bin:/app/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH=/app/src \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /app/src
USER 65532:65532
ENTRYPOINT ["/app/venv/bin/kubectl-canary"]

ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="PredictionDex rollout" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
