-- KEYS 1=stream 2=generation; ARGV 1=cap, then job, tenant, kind, epoch of each ticket (at most 500)
-- Answers how many were added, in order, before the stream was full.
if redis.call('EXISTS', KEYS[2]) == 0 then return redis.error_reply('NOGEN the tickets were lost') end
local room = tonumber(ARGV[1]) - redis.call('XLEN', KEYS[1])
local n = 0
for i = 2, #ARGV, 4 do
  if n >= room then break end
  redis.call('XADD', KEYS[1], '*', 'j', ARGV[i], 't', ARGV[i + 1], 'k', ARGV[i + 2], 'e', ARGV[i + 3])
  n = n + 1
end
return n
