# Debian's PostgreSQL, for a user that has a number and no rights; tests/e2e/training/database.py starts it.
ARG BASE
FROM ${BASE}
RUN mkdir -p /etc/postgresql-common \
    && echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf \
    && apt-get update -q \
    && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends \
        -o Dpkg::Options::=--force-confold postgresql \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /usr/share/doc/* \
    && echo 'database:x:65532:65532::/tmp:/usr/sbin/nologin' >>/etc/passwd
ENV PGDATA=/data/cluster PGHOST=/tmp
USER 65532:65532
