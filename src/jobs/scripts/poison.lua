-- KEYS 1=stream 2=quarantine; ARGV 1=entry id 2=its fields as text
redis.call('XADD', KEYS[2], 'MAXLEN', '~', 1000, '*', 'id', ARGV[1], 'entry', ARGV[2])
redis.call('XACK', KEYS[1], 'w', ARGV[1])
return redis.call('XDEL', KEYS[1], ARGV[1])
