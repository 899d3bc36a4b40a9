-- KEYS 1=sorted set 2=stream; ARGV 1=limit (at most 500: `unpack` and the server's patience are finite)
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, tonumber(ARGV[1]))
for _, ticket in ipairs(due) do
  redis.call('XADD', KEYS[2], '*', 'p', ticket)
  redis.call('ZREM', KEYS[1], ticket)
end
return #due
