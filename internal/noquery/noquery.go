package noquery

import "os"

const variable = "CI"

// before is the variable as the user set it. Nothing changes it.
var before, wasSet = os.LookupEnv(variable)

func init() {
	if before == "" {
		_ = os.Setenv(variable, "labctl") // cannot fail: neither name nor value holds a zero byte
	}
}

// Done gives the environment back as the user made it. main calls it first; a second call changes nothing.
func Done() {
	if wasSet {
		_ = os.Setenv(variable, before) // it was there, so it can be
		return
	}
	_ = os.Unsetenv(variable)
}
