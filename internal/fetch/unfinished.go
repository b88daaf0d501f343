package fetch

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

const (
	partSuffix   = ".part"
	originSuffix = ".json"
	tmpSuffix    = ".new"
	lockName     = ".lock"
)

// unfinished is a download that has not arrived yet: NAME.part and, beside it, NAME.part.json, which says of which file on
// the server it is the beginning. Without that the part is of no use.
type unfinished struct{ file string }

// origin identifies what the server was sending.
type origin struct {
	// Validator is what the server calls these bytes: a strong ETag, or else the time of their last change.
	Validator string `json:"validator"`
	Total     int64  `json:"total"` // bytes of the whole file
	have      int64  // bytes of it that are in the part
}

// originOf reads an answer's header; ok only if the rest of this file can be asked for by another request.
func originOf(response *http.Response) (o origin, ok bool) {
	o = origin{Validator: validatorOf(response), Total: response.ContentLength}
	return o, o.Validator != "" && o.Total > 0
}

// validatorOf returns a strong ETag, else Last-Modified. A weak ETag stays the same for other bytes.
func validatorOf(response *http.Response) string {
	if tag := response.Header.Get("ETag"); strings.HasPrefix(tag, `"`) {
		return tag
	}
	return response.Header.Get("Last-Modified")
}

// note writes down whose beginning the part is going to be.
func (p unfinished) note(response *http.Response) error {
	o, ok := originOf(response)
	if !ok {
		return removeIfThere(p.file + originSuffix)
	}
	text, err := json.Marshal(o)
	if err != nil {
		return err
	}
	return writeFile(p.file+originSuffix, text)
}

// read returns what is known of the part; ok is false where it is not known, or where there is no part.
func (p unfinished) read() (o origin, ok bool) {
	text, err := os.ReadFile(p.file + originSuffix)
	if err != nil || json.Unmarshal(text, &o) != nil || o.Validator == "" || o.Total <= 0 {
		return origin{}, false
	}
	info, err := os.Lstat(p.file)
	if err != nil || !info.Mode().IsRegular() {
		return origin{}, false
	}
	o.have = info.Size()
	return o, true
}

// resumable returns what is there, if something is and something is missing; else nil.
func (p unfinished) resumable() *origin {
	if o, ok := p.read(); ok && o.have > 0 && o.have < o.Total {
		return &o
	}
	return nil
}

func (p unfinished) complete() bool {
	o, ok := p.read()
	return ok && o.have == o.Total
}

// report tells how far another process is.
func (p unfinished) report(progress Progress) {
	if o, ok := p.read(); ok && o.have > 0 {
		progress.bytes(o.have, o.Total)
	}
}

// continues reports whether an answer holds exactly what is missing of the same file.
func (o *origin) continues(response *http.Response) bool {
	want := fmt.Sprintf("bytes %d-%d/%d", o.have, o.Total-1, o.Total)
	length := response.ContentLength
	return response.Header.Get("Content-Range") == want && validatorOf(response) == o.Validator && (length == -1 || length == o.Total-o.have)
}

// pretend answers go-getter's question whether the rest of a part may be asked for. That is settled already.
func (o *origin) pretend(request *http.Request) *http.Response {
	return &http.Response{
		StatusCode: http.StatusOK, Status: "200 OK", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: request,
		Header:        http.Header{"Accept-Ranges": {"bytes"}, "Content-Length": {strconv.FormatInt(o.Total, 10)}},
		ContentLength: o.Total, Body: http.NoBody,
	}
}

// finish gives a verified part its name.
func (p unfinished) finish(target string) error {
	if err := noteSize(p.file, filepath.Dir(target)); err != nil {
		return err
	}
	if err := os.Rename(p.file, target); err != nil {
		return err
	}
	return removeIfThere(p.file + originSuffix)
}

// settle keeps the part of a failed download for the next run if that can go on with it, and if there is room for it.
func (p unfinished) settle(cause error) error {
	if o, ok := p.read(); ok && o.have > 0 && !errors.Is(cause, syscall.ENOSPC) && !errors.Is(cause, ErrTooLarge) {
		return nil
	}
	return p.discard()
}

func (p unfinished) discard() error {
	return errors.Join(removeIfThere(p.file), removeIfThere(p.file+originSuffix))
}

// writeFile writes to a temporary name and renames. The caller holds the folder's lock, so the name can be a fixed one: what a run that
// was killed has left is written over, where new names would gather in a cache that nobody clears. What is lost in a power cut is fetched again.
func writeFile(file string, data []byte) error {
	tmp := file + tmpSuffix
	if err := os.WriteFile(tmp, data, 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, file)
}
