# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# apt.sh - Debian's packages, of any architecture or as sources, from where this machine's own apt gets
# its packages; apt's configuration, lists and packages stay as they are. No root is needed. For
# lwip/fetch and packaging/cross.

# apt_begin FOLDER ARCHITECTURE deb|deb-src - state, cache and sources of its own below FOLDER.
# What fails says so in FOLDER/log.
apt_begin() {
    local keyring=/usr/share/keyrings/debian-archive-keyring.gpg signed_by=""
    apt_folder=$1
    apt_architecture=$2
    mkdir -p "$1/lists/partial" "$1/cache/archives/partial" "$1/state"
    : >"$1/status"
    : >"$1/log"
    [ ! -e "$keyring" ] || signed_by="[signed-by=$keyring] "
    # Those that are not Debian's are left out where apt knows whose they are.
    # shellcheck disable=SC2016 # the dollars are apt's
    apt-get indextargets --format '$(ORIGIN)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)' \
        'Created-By: Packages' | sort -u |
        while IFS='|' read -r origin uri release component; do
            [ "$component" = main ] || continue
            [ -z "$origin" ] || [ "$origin" = Debian ] || continue
            printf '%s %s%s %s %s\n' "$3" "$signed_by" "$uri" "$release" "$component"
        done >"$1/sources.list"
    [ -s "$1/sources.list" ] || return
    # A list that cannot be fetched just now may be one that no package comes from.
    apt_private update >"$1/log" 2>&1 || true
    compgen -G "$1/lists/*_InRelease" >/dev/null
}

apt_private() {
    apt-get -q -y \
        -o "Dir::Etc::sourcelist=$apt_folder/sources.list" -o Dir::Etc::sourceparts=/dev/null \
        -o "Dir::State=$apt_folder/state" -o "Dir::State::lists=$apt_folder/lists" \
        -o "Dir::State::status=$apt_folder/status" -o "Dir::Cache=$apt_folder/cache" \
        -o "APT::Architecture=$apt_architecture" -o "APT::Architectures=$apt_architecture" \
        -o "APT::Sandbox::User=$(id -un)" -o APT::Get::List-Cleanup=0 "$@"
}
