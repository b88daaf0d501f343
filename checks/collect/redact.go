package collect

import "regexp"

// secrets are what k3s calls tokens, wherever they appear: the full form with the CA's hash, and arguments that carry one.
// config.yaml and the token files are never read; this is for what a node object or an error message might repeat.
var secrets = regexp.MustCompile(`(K10[0-9a-f]{64}::)[^\s"'\\]+|((?:--(?:agent-)?token|K3S_(?:AGENT_)?TOKEN)(?:=|\\?",\\?"|\\?":\s*\\?"|\s+))[^\s"'\\,]+`)

func redact(out []byte) []byte {
	return secrets.ReplaceAll(out, []byte("${1}${2}REDACTED"))
}
