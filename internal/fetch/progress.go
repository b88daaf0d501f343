package fetch

// Progress hears how a transfer goes. Either function may be nil.
type Progress struct {
	// Bytes hears how many bytes of how many are there, -1 of these meaning that nobody knows.
	Bytes func(done, total int64)
	// Say hears what is waited for and why: another process, or the next attempt after one that failed.
	Say func(text string)
}

func (p Progress) bytes(done, total int64) {
	if p.Bytes != nil {
		p.Bytes(done, total)
	}
}

func (p Progress) say(text string) {
	if p.Say != nil {
		p.Say(text)
	}
}
