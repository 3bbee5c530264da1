# SPDX-License-Identifier: LGPL-2.1-or-later
# Completion of passthroughctl(1) for bash: 'passthroughctl complete' says what fits, here it is quoted.

# Splits a command line like the shell, and runs nothing that stands in it. Sets words, the last one being
# typed; quote: the one that is open there, or ""; and fixed: what of the last word readline leaves as it is.
__passthroughctl_split() {
        local text=$1 word= begun= c i

        words=() quote= fixed=
        for ((i = 0; i < ${#text}; i++)); do
                c=${text:i:1}
                if [[ $quote ]]; then
                        if [[ $c == "$quote" ]]; then
                                quote=
                        elif [[ $quote$c == '"\' && ${text:i+1:1} == [\"\$\`\\] ]]; then
                                word+=${text: ++i:1}
                        else
                                word+=$c
                        fi
                elif [[ $c == [[:space:]] ]]; then
                        [[ $begun ]] && words+=("$word")
                        word= begun= fixed=
                else
                        begun=1
                        case $c in
                        \\) word+=${text: ++i:1} ;;
                        [\'\"]) quote=$c fixed=$word ;;
                        *)
                                word+=$c
                                [[ $COMP_WORDBREAKS == *"$c"* ]] && fixed=$word
                                ;;
                        esac
                fi
        done
        words+=("$word")
}

# The candidate as it has to stand behind what is fixed.
__passthroughctl_quote() {
        case $quote in
        \') reply=${1//\'/"'\\''"} ;;
        \")
                reply=${1//\\/\\\\}
                reply=${reply//\"/\\\"}
                reply=${reply//\$/\\\$}
                reply=${reply//\`/\\\`}
                ;;
        *) printf -v reply %q "$1"; reply=${reply//\\,/,} ;; # %q takes a comma for a danger: of braces, which it quotes, too
        esac
}

# A program of its own, whose completion bash may know.
__passthroughctl_program() {
        local i

        for ((i = 1; i < COMP_CWORD; i++)); do
                [[ ${COMP_WORDS[i]} == -- ]] && break
        done
        if declare -F _command_offset >/dev/null; then
                _command_offset $((i + 1))
        elif ((i + 1 == COMP_CWORD)); then
                mapfile -t COMPREPLY < <(compgen -c -- "${COMP_WORDS[COMP_CWORD]}")
        else
                compopt -o default
        fi
}

_passthroughctl() {
        local words quote fixed reply line

        COMPREPLY=()
        __passthroughctl_split "${COMP_LINE:0:COMP_POINT}"
        while IFS= read -r line; do
                case $line in
                :file) compopt -o default ;;
                :program$'\t'*) __passthroughctl_program ;;
                *)
                        line=${line%%$'\t'*}
                        __passthroughctl_quote "${line#"$fixed"}"
                        COMPREPLY+=("$reply")
                        ;;
                esac
        done < <(passthroughctl complete -- "${words[@]:1}" 2>/dev/null)
}

complete -F _passthroughctl passthroughctl
