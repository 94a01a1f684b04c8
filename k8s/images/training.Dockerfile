# The command `pdx` with everything that training needs: its packages, Node.js and the duel engine.
ARG BASE=docker.io/library/python:3.11-slim

FROM ${BASE} AS dependencies
COPY requirements.txt /build/requirements.txt
# As in the image of serving: the lock is complete, tests of packages are left out, pip stays in an environment of its
# own, and SIGTERM ends the first process, which would otherwise ignore it.
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
    && printf '%s\n' '#!/app/venv/bin/python' 'from training.cli import main' 'main()' >/app/venv/bin/pdx \
    && chmod -R u=rwX,go=rX /app/venv \
    && chmod 755 /app/venv/bin/pdx

FROM ${BASE} AS code
COPY src /app/src
RUN python3 -m compileall -q --invalidation-mode unchecked-hash /app/src/bentos /app/src/loadtests \
        /app/src/training \
    && chmod -R u=rwX,go=rX /app/src

FROM ${BASE}
# Debian's Node.js, and none of what apt writes down besides: times and caches differ from build to build.
RUN apt-get update -q \
    && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends nodejs \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/cache/ldconfig/aux-cache \
        /var/log/apt/* /var/log/*.log
COPY --from=dependencies /app/venv /app/venv
COPY engine/node_modules /app/src/training/engine/node_modules
COPY --from=code /app/src /app/src
# MLflow names the user that a run belongs to, and a number has no name; it looks for a git that is not here.
ENV HOME=/tmp
ENV PATH=/app/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH=/app/src \
    PYTHONDONTWRITEBYTECODE=1 \
    LOGNAME=pdx \
    GIT_PYTHON_REFRESH=quiet \
    MPLCONFIGDIR=${HOME}/matplotlib \
    PDX_HOME=${HOME}/pdx \
    BENTOML_DO_NOT_TRACK=True \
    MLFLOW_DISABLE_TELEMETRY=true \
    DO_NOT_TRACK=1
WORKDIR /app/src
USER 65532:65532
ENTRYPOINT ["/app/venv/bin/pdx"]

ARG VERSION=unknown
ARG REVISION=unknown
# Which commit a model was trained from: the image has no checkout that would say it.
ENV PDX_GIT_COMMIT=${REVISION}
LABEL org.opencontainers.image.title="PredictionDex training" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
