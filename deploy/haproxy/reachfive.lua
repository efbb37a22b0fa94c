-- Asks reachfive-gateway about a request, for haproxy.cfg beside this file.
--
--   http-request lua.reachfive POLICY
--
-- It sets txn.reachfive_status to the status of the gateway's answer, 503 if
-- there is none. With status 200 it sets the identity headers of the request;
-- with any other, the variables that haproxy.cfg answers with. The script
-- trusts no header of the request: haproxy.cfg deletes the whole family before.

local gateway = os.getenv("REACHFIVE_GATEWAY") or "127.0.0.1:9400"
local timeout = 6000 -- a gateway that waits for the provider's keys answers within 5 s

-- Every header that a policy sends must be listed here.
local identity = {
	"x-reachfive-decision",
	"x-reachfive-subject",
	"x-reachfive-issuer",
	"x-reachfive-audience",
	"x-reachfive-expires",
	"x-reachfive-email",
	"x-reachfive-name",
}

local function first(headers, name)
	if headers == nil or headers[name] == nil then
		return nil
	end
	return headers[name][0]
end

core.register_action("reachfive", { "http-req" }, function(txn, policy)
	-- All Authorization headers, so that the gateway can refuse two.
	local authorization = {}
	local sent = txn.http:req_get_headers()["authorization"]
	if sent ~= nil then
		local i = 0
		while sent[i] ~= nil do
			authorization[i + 1] = sent[i]
			i = i + 1
		end
	end
	local headers = { ["host"] = { "reachfive-gateway" } }
	if #authorization > 0 then
		headers["authorization"] = authorization
	end

	local answer = core.httpclient():get({
		url = "http://" .. gateway .. "/auth/" .. policy,
		headers = headers,
		timeout = timeout,
	})

	local status = answer and answer.status or 0
	local decision = answer and first(answer.headers, "x-reachfive-decision")
	if status == 200 then
		-- Status 200 is not enough to pass: a default backend that answers in
		-- the gateway's place would let everybody in.
		if decision ~= "allow" and decision ~= "anonymous" then
			txn:set_var("txn.reachfive_status", 403)
			txn:set_var("txn.reachfive_body", '{"error":"access_denied","error_description":"access_denied: the gateway did not answer"}')
			return
		end
		for _, name in ipairs(identity) do
			local value = first(answer.headers, name)
			if value ~= nil and value ~= "" then
				txn.http:req_set_header(name, value)
			end
		end
		txn:set_var("txn.reachfive_status", 200)
		txn:set_var("txn.reachfive_decision", decision)
		return
	end

	if status ~= 400 and status ~= 401 and status ~= 403 and status ~= 500 then
		if status ~= 503 then
			answer = nil
		end
		status = 503 -- no verdict, so that nobody is signed out by it
	end
	txn:set_var("txn.reachfive_status", status)
	txn:set_var("txn.reachfive_challenge", first(answer and answer.headers, "www-authenticate") or "")
	txn:set_var("txn.reachfive_retry_after", first(answer and answer.headers, "retry-after") or (status == 503 and "1" or ""))
	txn:set_var("txn.reachfive_body", answer and answer.body or '{"error":"temporarily_unavailable","error_description":"temporarily_unavailable: the token could not be checked"}')
end, 1)
