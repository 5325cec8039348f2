# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
# bash completion for xvmi(1)

# URIs of guests: schemes, and the paths and process ids behind them. bash splits words at
# colons; what stands before the last one in the word must not be repeated in the answers.
_xvmi_uri() {
    local cur=$1 scheme rest
    if [[ $cur != *:* ]]; then
        compopt -o nospace
        mapfile -t COMPREPLY < <(compgen -W 'file: qemu:' -- "$cur")
        return
    fi
    scheme=${cur%%:*} rest=${cur#*:}
    if [[ $scheme == qemu && $rest == pid=* ]]; then
        mapfile -t COMPREPLY < <(compgen -P pid= -W "$(pgrep -f '^[^ ]*qemu-system-')" \
            -- "${rest#pid=}")
    else
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -f -- "$rest")
        if [[ $scheme == qemu && pid= == "$rest"* ]]; then
            compopt -o nospace
            COMPREPLY+=(pid=)
        fi
    fi
    if [[ $COMP_WORDBREAKS != *:* ]]; then
        COMPREPLY=("${COMPREPLY[@]/#/$scheme:}")
    fi
    if [[ $COMP_WORDBREAKS == *=* && $rest == pid=* ]]; then
        COMPREPLY=("${COMPREPLY[@]#pid=}")
    fi
}

_xvmi() {
    local cur prev command word i
    # The word under the cursor and the one before it, put together again from what bash split
    # at ':' and '='.
    local line=${COMP_LINE:0:COMP_POINT}
    cur=${line##*[[:space:]]}
    line=${line%"$cur"}
    line=${line%"${line##*[![:space:]]}"}
    prev=${line##*[[:space:]]}
    COMPREPLY=()

    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [[ $word != -* ]]; then
            command=$word
            break
        fi
    done

    local options='--help --usage --version'
    case $command in
    '') ;;
    info | owner | ps) options+=' --json --profile --no-cache' ;;
    ss) options+=' --tcp --udp --sctp --raw --packet --unix --listening --all --ipv4 --ipv6 --owners
                   --json --profile --no-cache' ;;
    check) options+=' --to --json' ;;
    filter) options+=' --dev --policy --name --miss --queue --on-exit --wait --dry-run --learn --events
                       --json --profile --no-cache' ;;
    profile) options+=' --output --from --show --json --no-cache' ;;
    *) return ;;
    esac

    case $prev in
    --profile | --show | --output | -o | --policy | --learn | --events)
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        return
        ;;
    --owners)
        mapfile -t COMPREPLY < <(compgen -W 'scan none' -- "$cur")
        return
        ;;
    --to)
        mapfile -t COMPREPLY < <(compgen -W 'text json' -- "$cur")
        return
        ;;
    --dev)
        mapfile -t COMPREPLY < <(compgen -W "$(ls /sys/class/net)" -- "$cur")
        return
        ;;
    --miss)
        mapfile -t COMPREPLY < <(compgen -W 'hold drop pass' -- "$cur")
        return
        ;;
    --on-exit)
        mapfile -t COMPREPLY < <(compgen -W 'open closed' -- "$cur")
        return
        ;;
    --from)
        _xvmi_uri "$cur"
        return
        ;;
    esac

    if [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
    elif [[ -z $command ]]; then
        mapfile -t COMPREPLY < <(compgen -W 'info ps ss owner profile check filter' -- "$cur")
    elif [[ $command == profile || $command == check ]]; then
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
    else
        _xvmi_uri "$cur"
    fi
}

complete -F _xvmi xvmi
