#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# headers.sh CC SOURCE - each public header stands alone, in old C and in C++.
set -eu
cc=$1 source=$2
failed=0
for header in engine loop machine endpoint error client status tun2socks types; do
    for language in 'c -std=c99' 'c++ -std=c++98' 'c++ -std=c++17'; do
        case $language in
        c++*) echo | "$cc" -x c++ -fsyntax-only - 2>/dev/null || continue ;; # no C++ here
        esac
        # shellcheck disable=SC2086 # the language and its option are two words
        echo "#include <udptun/$header.h>" |
            "$cc" -x $language -Wall -Wextra -Werror -fsyntax-only \
                -I "$source/daemon/engine/include" -I "$source/daemon/platform/include" -I "$source/libclient/include" \
                -I "$source/proto/include" - || {
            echo "udptun/$header.h does not stand alone as $language" >&2
            failed=1
        }
    done
done
exit $failed
