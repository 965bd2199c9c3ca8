# Starts the redis service: users by ACL, nothing kept on disk, nothing dropped when it is full.
# The passwords stand in a file that others cannot reach, and so in no process list.
#
# noeviction: a full Redis must refuse, not forget. No persistence: the database is the truth.
set -eu
umask 077
cd "$(mktemp -d)"

# What Celery's transport needs, and nothing that reads or changes other keys, users or settings:
# lists are the queues, the sets say which queue an exchange leads to, `unacked` holds what a worker
# has in hand, and the channel carries `nifos status`'s question who is alive.
messages='resetkeys resetchannels -@all +hello +auth +ping +select +client|setinfo +client|setname'
messages="$messages +multi +exec +discard +watch +unwatch +time +get +set +pexpire +exists +del"
messages="$messages +llen +lpush +rpush +rpop +brpop +sadd +srem +smembers +hget +hset +hdel"
messages="$messages +zadd +zrem +zrange +zrangebyscore +zrevrangebyscore"
messages="$messages +eval +evalsha +script|load +script|exists"
messages="$messages +publish +subscribe +psubscribe +unsubscribe +punsubscribe"
keys='~_kombu.binding* ~unacked* ~*.celery.pidbox &/0.celery.pidbox'

cat > valkey.conf <<CONF
user default on #$(printf %s "$REDIS_PASSWORD" | sha256sum | cut -c 1-64) ~* &* +@all
user worker on #$(printf %s "$WORKER_PASSWORD" | sha256sum | cut -c 1-64) $messages $keys ~nifos.score
user producer on #$(printf %s "$PRODUCER_PASSWORD" | sha256sum | cut -c 1-64) $messages $keys ~nifos.score
user trainer on #$(printf %s "$TRAINER_PASSWORD" | sha256sum | cut -c 1-64) $messages $keys ~nifos.score ~nifos.train
maxmemory 256mb
maxmemory-policy noeviction
save ""
CONF
exec valkey-server ./valkey.conf "$@"
