{# BentoML's docker.dockerfile_template. It fills nothing in: what differs from image to image is an ARG, and comes last. #}
# Built from an exported bento, which holds code, lock and model. No compiler, no git, no cache of pip.
ARG BASE=docker.io/library/python:3.11-slim

FROM ${BASE} AS dependencies
COPY env/python/requirements.txt /build/requirements.txt
# pip stays in an environment of its own. Without resolving, since the lock is complete and leaves out NCCL on purpose.
# Tests of packages are left out. Bytecode is compiled by one process, since of several each would write it a little
# differently from build to build, and checked by nothing: the times of files say no more than when the image was built.
# The first process of a container ignores SIGTERM until it has a handler. The server sets its own once it loads; until
# then, and in any other Python here that is the first process, there is nothing to finish. So no tini is needed: the
# server starts no processes that would have to be reaped.
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
    && chmod -R u=rwX,go=rX /app/venv

FROM ${BASE} AS code
COPY src/bentos /app/src/bentos
RUN find /app/src -depth -name __pycache__ -exec rm -r {} + \
    && python3 -m compileall -q --invalidation-mode unchecked-hash /app/src \
    && chmod -R u=rwX,go=rX /app/src

FROM ${BASE} AS model
COPY models /build/models
# Exactly one model, without the note that BentoML's store adds.
RUN set -- /build/models/*/*/ \
    && test "$#" -eq 1 \
    && mkdir /app \
    && mv "$1" /app/bundle \
    && rm -f /app/bundle/model.yaml \
    && chmod -R u=rwX,go=rX /app/bundle

FROM ${BASE}
COPY --from=dependencies /app/venv /app/venv
COPY --from=code /app/src /app/src
COPY --from=model /app/bundle /app/bundle
ENV HOME=/tmp
ENV PATH=/app/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH=/app/src \
    PYTHONDONTWRITEBYTECODE=1 \
    PDX_BUNDLE=/app/bundle \
    BENTOML_HOME=${HOME}/bentoml \
    BENTOML_DO_NOT_TRACK=True
WORKDIR /app/src
EXPOSE 3000 3001 3002
STOPSIGNAL SIGTERM
# A number, or Kubernetes cannot see that it is not root.
USER 65532:65532
# Without a shell, which would keep SIGTERM from the server.
ENTRYPOINT ["/app/venv/bin/python", "-m", "bentos"]

ARG VERSION=unknown
ARG REVISION=unknown
ARG MODEL_NAME=unknown
ARG MODEL_VERSION=unknown
LABEL org.opencontainers.image.title="PredictionDex serving" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      predictiondex.model.name="${MODEL_NAME}" \
      predictiondex.model.version="${MODEL_VERSION}"
