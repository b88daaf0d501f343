package vbox

import (
	"context"
	"strings"
)

// ExtraData reads a note that was attached to a machine, or to this user's VirtualBox if target is "global".
// ok is false if there is none of that key; ErrNotFound if there is no such machine.
func (c *Client) ExtraData(ctx context.Context, target, key string) (value string, ok bool, err error) {
	out, err := c.run(ctx, getExtraDataArgs(target, key))
	if err != nil {
		return "", false, err
	}
	value, ok = strings.CutPrefix(out, "Value: ")
	if !ok { // No value set!
		return "", false, nil
	}
	return strings.TrimSuffix(value, "\n"), true, nil
}

// SetExtraData attaches a note to a machine, or to this user's VirtualBox if target is "global". An empty value deletes it.
func (c *Client) SetExtraData(ctx context.Context, target, key, value string) error {
	a := setExtraDataArgs(target, key, value)
	if value == "" {
		a = deleteExtraDataArgs(target, key)
	}
	_, err := c.run(ctx, a)
	return err
}
