#!/bin/sh
# Cuts this container's network off from its peers and heals it again, in turn with the other
# validators: `chaos.sh NUMBER COUNT`. Time is divided in slots of X0T_CHAOS_S seconds (default
# 60); in each, one of COUNT validators is cut off for the first half, so a quorum is always left of
# four. Which one follows from the time alone: the containers need not speak with each other.
#
# Runs in the network of one validator with NET_ADMIN and nothing else. Only routes are changed:
# those to peers lead nowhere, while the API's network stays.
set -eu

number=$1
count=$2
slot_s=${X0T_CHAOS_S:-60}

say() { echo "$(date -u +%H:%M:%S) chaos $number: $*"; }

# The peers' network is the one that the default route does not lead through: in two halves, which
# win over the route to the whole.
halves() {
  api=$(ip route | sed -n 's/^default .* dev \([^ ]*\).*/\1/p')
  ip route | sed -n 's/^\([0-9.]*\)\/\([0-9]*\) dev \([^ ]*\).*/\1 \2 \3/p' |
    while read -r net bits device; do
      [ "$device" != "$api" ] || continue
      number_of() { echo $((($1 * 256 + $2) * 256 * 256 + $3 * 256 + $4)); }
      # shellcheck disable=SC2046
      first=$(number_of $(echo "$net" | tr . ' '))
      for at in "$first" $((first + (1 << (31 - bits)))); do
        echo "$((at >> 24)).$((at >> 16 & 255)).$((at >> 8 & 255)).$((at & 255))/$((bits + 1))"
      done
    done
}

cut() {
  halves | while read -r half; do ip route add blackhole "$half" 2>/dev/null || true; done
  say "cut off: $(ip route | grep -c '^blackhole') routes lead nowhere"
}

heal() {
  ip route | sed -n 's/^blackhole \([^ ]*\).*/\1/p' |
    while read -r half; do ip route del blackhole "$half"; done
  say healed
}

trap 'heal; exit 0' TERM INT
is_cut=
say "slots of $slot_s s, $count validators"
while :; do
  now=$(date +%s)
  victim=$((now / slot_s % count + 1))
  if [ "$victim" -eq "$number" ] && [ $((now % slot_s * 2)) -lt "$slot_s" ]; then
    if [ -z "$is_cut" ]; then cut; is_cut=yes; fi
  elif [ -n "$is_cut" ]; then
    heal
    is_cut=
  fi
  # in the background, so that a signal is heard at once
  sleep 1 &
  wait $!
done
