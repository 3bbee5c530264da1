# SPDX-License-Identifier: LGPL-2.1-or-later
# Completion of passthroughctl(1) for fish: 'passthroughctl complete' says what fits, fish quotes it.

function __passthroughctl_complete
    # fish 4 has -x for what was -o.
    set -l words (commandline -xpc 2>/dev/null; or commandline -opc)
    # Without its quotes, of which one may be open.
    set -l raw (commandline -ct)
    set -l token (string unescape -- "$raw"; or string unescape -- "$raw'"; or string unescape -- "$raw\"")
    set -l line

    for line in (passthroughctl complete -- $words[2..] "$token" 2>/dev/null)
        switch $line
            case :file
                __fish_complete_path (commandline -ct)
            case ':program*'
                set -l first (math (string split \t -- $line)[2] + 2)
                complete -C (string join ' ' -- (string escape -- $words[$first..]) (commandline -ct))
            case '*'
                echo -- $line
        end
    end
end

complete -c passthroughctl -f -k -a '(__passthroughctl_complete)'
