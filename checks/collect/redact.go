package collect

import (
	"bytes"
	"regexp"
)

// secrets are what k3s calls tokens, wherever they appear: the full form with the CA's hash, and arguments that carry one.
// config.yaml and the token files are never read; this is for what a node object or an error message might repeat.
// Each begins with a fixed text, which is found quickly in outputs that are large and mostly hold none.
var secrets = []*regexp.Regexp{
	regexp.MustCompile(`(K10[0-9a-f]{64}::)[^\s"'\\]+`),
	regexp.MustCompile(`(--token` + assigned + `)[^\s"'\\,]+`),
	regexp.MustCompile(`(--agent-token` + assigned + `)[^\s"'\\,]+`),
	regexp.MustCompile(`(K3S_TOKEN` + assigned + `)[^\s"'\\,]+`),
	regexp.MustCompile(`(K3S_AGENT_TOKEN` + assigned + `)[^\s"'\\,]+`),
}

// assigned is what may stand between an argument's name and its value.
const assigned = `(?:=|\\?",\\?"|\\?":\s*\\?"|\s+)`

// redact returns out without secrets; it is out itself if there are none.
func redact(out []byte) []byte {
	for _, s := range secrets {
		if prefix, _ := s.LiteralPrefix(); bytes.Contains(out, []byte(prefix)) && s.Match(out) {
			out = s.ReplaceAll(out, []byte("${1}REDACTED"))
		}
	}
	return out
}
