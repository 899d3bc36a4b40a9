-- KEYS 1=stream; ARGV entry ids (at most 500)
local n = redis.call('XACK', KEYS[1], 'w', unpack(ARGV))
redis.call('XDEL', KEYS[1], unpack(ARGV))
return n
