#!/bin/sh
# Installs the system packages that the tests on real services need, where that is possible; says so where it is not.
# What is missing in the end is judged by tests/services/run.py.
set -u

missing=""
command -v redis-server >/dev/null || missing="$missing redis-server"
command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$missing postgresql"
command -v chromium >/dev/null || command -v chromium-browser >/dev/null || missing="$missing chromium"
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null; then
    echo "Missing:$missing. There is no apt-get here; install them with this system's own means." >&2
elif [ "$(id -u)" -ne 0 ]; then
    echo "Missing:$missing. Only root can install them: sudo apt-get install$missing" >&2
else
    echo "Installing:$missing …"
    export DEBIAN_FRONTEND=noninteractive
    # Throw-away servers are started by the tests; the package's own cluster and service are not wanted.
    mkdir -p /etc/postgresql-common/createcluster.d
    echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.d/calliyo.conf
    # shellcheck disable=SC2086 (one word a package)
    { apt-get update -qq && apt-get install -qq --yes --no-install-recommends $missing >/dev/null; } ||
        echo "apt-get could not install:$missing" >&2
fi
exit 0
