#!/bin/sh
# A folder of programs that use Redis as the users of deploy/redis/users.acl do: daemons
# with their own, commands with that of the person who gives them. redis-server in it has
# these users, beside "default" for the tests themselves.
#
#   as_users.sh BUILD FOLDER      then: PATH=FOLDER:$PATH test_x.sh FOLDER
set -eu
build=$(cd "$1" && pwd) to=$2
mkdir -p "$to"
sed 's/#0\{64\}/>secret/' deploy/redis/users.acl >"$to/users.acl"
(umask 077 && echo secret >"$to/password")
for f in "$build"/*; do ln -s "$f" "$to/"; done
rm "$to/picket" "$to/picket-collector" "$to/picket-gateway"
for p in picket-collector picket-gateway; do
	cat >"$to/$p" <<-SCRIPT
		#!/bin/sh
		case " \$* " in *" -T "* | *" --dump-config "*) exec "$build/$p" "\$@" ;; esac
		exec "$build/$p" "\$@" --set redis.user=$p --set redis.password_file="$to/password"
	SCRIPT
done
cat >"$to/picket" <<-SCRIPT
	#!/bin/sh
	case "\$1 \${2:-}" in
	"alerts "*) user=picket-analyst ;;
	"sensors "* | "status "*) user=picket-dashboard ;;
	"exercise "* | "allow "* | "suppress "* | "disable "* | "rules push" | "rules rollback" | "rules promote" | "rules withdraw" | "rules status") user=picket-publisher ;;
	"bundle verify" | "bundle show" | "partner keys") exec "$build/picket" "\$@" ;;
	"partner "* | "bundle "* | "sighting "*) user=picket-liaison ;;
	*) exec "$build/picket" "\$@" ;;
	esac
	PICKET_REDIS_PASSWORD=secret exec "$build/picket" "\$@" --redis-user \$user
SCRIPT
real=$(command -v redis-server)
cat >"$to/redis-server" <<-SCRIPT
	#!/bin/sh
	exec "$real" "\$@" --aclfile "$to/users.acl"
SCRIPT
chmod +x "$to/picket" "$to/picket-collector" "$to/picket-gateway" "$to/redis-server"
