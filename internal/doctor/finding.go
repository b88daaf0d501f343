package doctor

// Status is how bad a finding is.
type Status string

// The statuses. Only a Blocker keeps a lab from being built.
const (
	Unknown Status = "" // could not be found out
	OK      Status = "ok"
	Warn    Status = "warn"
	Blocker Status = "blocker"
)

func (s Status) String() string {
	if s == Unknown {
		return "unknown"
	}
	return string(s)
}

// Finding is the answer to one question about the host.
type Finding struct {
	Name   string // what was looked at: "free disk for the lab"
	Status Status
	Detail string // what was found
	Fix    string // the command, or the change, that mends it; empty if nothing needs mending
}

// unknown is the finding for something that could not be read.
func unknown(name string, err error) Finding {
	return Finding{Name: name, Detail: err.Error()}
}
