package sim

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"mvdan.cc/sh/v3/shell"
)

// unit is what systemd remembers of a service.
type unit struct {
	State  string       `json:"state"` // active, inactive or failed; of k3s: what systemd was told, see serviceState
	Result string       `json:"result,omitempty"`
	Since  time.Time    `json:"since"`
	K3s    *k3sSettings `json:"k3s,omitempty"` // what k3s was started with; nil of every other service
}

// imageUnits are the services of the image that somebody asks for. They run from boot on.
const imageUnits = "ssh sshd systemd-networkd systemd-resolved systemd-timesyncd systemd-udevd systemd-journald " +
	"systemd-modules-load systemd-sysctl dbus cron cloud-init cloud-final"

// unit returns the state of a service by its name without ".service"; of one that does not exist, "inactive".
func (g *guest) unit(name string) unit {
	if u, ok := g.state.Units[name]; ok {
		return u
	}
	if slices.Contains(strings.Fields(imageUnits), name) {
		return unit{State: "active", Since: g.bootTime()}
	}
	return unit{State: "inactive"}
}

// unitFile is a parsed service file: the values of each key, in order, by "Section.Key".
type unitFile map[string][]string

// loadUnit reads a service's file and its drop-ins.
func (g *guest) loadUnit(name string) (unitFile, error) {
	file := unitFile{}
	const folder = "/etc/systemd/system/"
	data, err := g.files.read("root", folder+name+".service")
	if err != nil {
		return nil, fmt.Errorf("unit %s.service not found", name)
	}
	texts := [][]byte{data}
	dropIns, err := g.files.list("root", folder+name+".service.d")
	if err == nil {
		for _, d := range dropIns {
			if text, err := g.files.read("root", folder+name+".service.d/"+d.Name()); err == nil && strings.HasSuffix(d.Name(), ".conf") {
				texts = append(texts, text)
			}
		}
	}
	for _, text := range texts {
		section := ""
		for line := range strings.Lines(strings.ReplaceAll(string(text), "\\\n", " ")) {
			line = strings.TrimSpace(line)
			key, value, ok := strings.Cut(line, "=")
			switch {
			case line == "" || line[0] == '#' || line[0] == ';':
			case line[0] == '[':
				section = strings.Trim(line, "[]")
			case !ok:
				return nil, fmt.Errorf("%s%s.service: missing '=', ignoring line %q", folder, name, line)
			case value == "":
				delete(file, section+"."+strings.TrimSpace(key)) // an empty assignment resets
			default:
				key = section + "." + strings.TrimSpace(key)
				file[key] = append(file[key], strings.TrimSpace(value))
			}
		}
	}
	return file, nil
}

func (g *guest) enabled(name string) string {
	if slices.Contains(strings.Fields(imageUnits), name) {
		return "enabled"
	}
	if _, err := g.files.stat("/etc/systemd/system/multi-user.target.wants/"+name+".service", false); err == nil {
		return "enabled"
	}
	if _, err := g.files.stat("/etc/systemd/system/"+name+".service", true); err == nil {
		return "disabled"
	}
	return ""
}

// startEnabled starts what is enabled, as the boot does.
func (g *guest) startEnabled() error {
	g.loadModules()
	wanted, err := g.files.list("root", "/etc/systemd/system/multi-user.target.wants")
	if err != nil {
		return nil // nothing is enabled
	}
	for _, w := range wanted {
		// A unit that fails shows in its state, not in the boot.
		if err := g.startUnit(g.w.context(), strings.TrimSuffix(w.Name(), ".service"), g.bootTime()); err != nil && !errors.As(err, new(unitError)) {
			return err
		}
	}
	return nil
}

func (g *guest) loadModules() {
	confs, err := g.files.list("root", "/etc/modules-load.d")
	if err != nil {
		return
	}
	for _, c := range confs {
		text, _ := g.files.read("root", "/etc/modules-load.d/"+c.Name())
		for line := range strings.Lines(string(text)) {
			if name := strings.TrimSpace(line); name != "" && name[0] != '#' {
				g.as(g.w.context(), []string{"modprobe", name}) // one that does not exist is skipped
			}
		}
	}
}

// unitError is a start that failed in the guest, in systemctl's words.
type unitError string

func (e unitError) Error() string { return string(e) }

// startUnit starts a service at the time given. The error is a unitError if the guest is to blame.
func (g *guest) startUnit(ctx context.Context, name string, at time.Time) error {
	if slices.Contains(strings.Fields(imageUnits), name) {
		return g.update(func(st *guestState) {
			if name == "systemd-udevd" {
				st.UdevID = g.machineID()
			}
			if name == timeSync {
				st.Clock = 0 // it asks for the time when it starts
			}
			st.setUnit(name, unit{State: "active", Since: at})
		})
	}
	file, err := g.loadUnit(name)
	if err != nil {
		return unitError(fmt.Sprintf("Failed to start %s.service: Unit %s.service not found.", name, name))
	}
	description := name
	if d := file["Unit.Description"]; len(d) > 0 {
		description = d[0]
	}
	if err := g.update(func(st *guestState) {
		st.log(name, at, "Starting "+description+"...")
	}); err != nil {
		return err
	}
	fail := func(result string, lines ...string) error {
		err := g.update(func(st *guestState) {
			st.log(name, at, lines...)
			st.log(name, at, fmt.Sprintf("%s.service: Failed with result '%s'.", name, result), "Failed to start "+description+".")
			st.setUnit(name, unit{State: "failed", Result: result, Since: at})
		})
		if err != nil {
			return err
		}
		return unitError(fmt.Sprintf("Job for %s.service failed because the control process exited with error code.\n"+
			"See \"systemctl status %s.service\" and \"journalctl -xeu %s.service\" for details.", name, name, name))
	}
	for _, command := range file["Service.ExecStartPre"] {
		command, optional := strings.CutPrefix(command, "-")
		argv, err := shell.Fields(command, func(string) string { return "" })
		if err != nil {
			return fail("exit-code", err.Error())
		}
		if out, status := g.as(ctx, argv); status != 0 && !optional {
			return fail("exit-code", append(strings.Split(strings.TrimSpace(out), "\n"),
				fmt.Sprintf("%s.service: Control process exited, code=exited, status=%d/FAILURE", name, status))...)
		}
	}
	commands := file["Service.ExecStart"]
	if len(commands) == 0 {
		return fail("bad-setting", name+".service: Service has no ExecStart=, ExecStop=, or SuccessAction=. Refusing.")
	}
	argv, err := shell.Fields(commands[0], func(string) string { return "" })
	if err != nil || len(argv) == 0 {
		return fail("bad-setting", fmt.Sprintf("%s.service: cannot parse %q", name, commands[0]))
	}
	if !path.IsAbs(argv[0]) {
		argv[0] = "/usr/bin/" + argv[0]
	}
	if version, err := g.k3sVersion(argv[0]); err == nil {
		settings, warnings, err := g.k3sSettings(version, argv[1:], g.environment(file))
		if err != nil {
			return fail("exit-code", append(warnings, fmt.Sprintf("time=%q level=fatal msg=%q", at.UTC().Format(time.RFC3339), err.Error()),
				name+".service: Main process exited, code=exited, status=1/FAILURE")...)
		}
		return g.startK3s(name, settings, warnings, at)
	}
	if _, err := g.files.stat(argv[0], true); err != nil && g.w.programs[path.Base(argv[0])] == nil {
		return fail("exit-code", fmt.Sprintf("%s.service: Failed to locate executable %s: %s", name, argv[0], reason(err)),
			name+".service: Main process exited, code=exited, status=203/EXEC")
	}
	out, status := g.as(ctx, argv)
	if status != 0 {
		return fail("exit-code", append(strings.Split(strings.TrimSpace(out), "\n"),
			fmt.Sprintf("%s.service: Main process exited, code=exited, status=%d/FAILURE", name, status))...)
	}
	return g.update(func(st *guestState) {
		st.log(name, at, "Finished "+description+".")
		state := "inactive" // the process has ended
		if slices.Contains(file["Service.RemainAfterExit"], "yes") {
			state = "active"
		}
		st.setUnit(name, unit{State: state, Since: at})
	})
}

// environment is what the unit file gives its processes.
func (g *guest) environment(file unitFile) map[string]string {
	env := map[string]string{}
	set := func(text string) {
		if k, v, ok := strings.Cut(strings.Trim(strings.TrimSpace(text), `"'`), "="); ok && !strings.HasPrefix(k, "#") {
			env[k] = strings.Trim(v, `"'`)
		}
	}
	for _, e := range file["Service.Environment"] {
		set(e)
	}
	for _, name := range file["Service.EnvironmentFile"] {
		data, err := g.files.read("root", strings.TrimPrefix(name, "-"))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(data)) {
			set(line)
		}
	}
	return env
}

func (st *guestState) setUnit(name string, u unit) {
	if st.Units == nil {
		st.Units = map[string]unit{}
	}
	st.Units[name] = u
}

func (g *guest) stopUnit(name string, at time.Time) error {
	return g.update(func(st *guestState) {
		u, ok := st.Units[name]
		if !ok {
			u = g.unit(name)
		}
		if u.State == "active" {
			st.log(name, at, fmt.Sprintf("Stopping %s...", name), fmt.Sprintf("Stopped %s.", name))
		}
		u.State, u.Since, u.Result = "inactive", at, ""
		st.setUnit(name, u)
	})
}

// serviceState is what `systemctl is-active` says.
func (g *guest) serviceState(name string) (string, error) {
	u := g.unit(name)
	if u.K3s == nil || u.State != "active" {
		return u.State, nil
	}
	ready, _, err := g.w.joined(g)
	if err != nil {
		return "", err
	}
	if ready {
		return "active", nil
	}
	return "activating", nil
}

// k3sUnit is the running k3s service, if there is one.
func (g *guest) k3sUnit() (name string, u unit, ok bool) {
	for _, name := range sortedKeys(g.state.Units) {
		if u := g.state.Units[name]; u.K3s != nil && u.State == "active" {
			return name, u, true
		}
	}
	return "", unit{}, false
}
