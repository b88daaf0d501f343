package sim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// programs is everything that the guests' PATH has, by name; those below "replaced" stand in for builtins.
func programs() map[string]program {
	all := map[string]program{
		"sudo": runSudo, "sh": runShell, "bash": runShell, "dash": runShell, "env": runEnv, "printenv": runEnv,
		"true": runTrue, "false": func(context.Context, *process) int { return 1 },
		"echo": runInShell, "printf": runInShell, "test": runInShell, "[": runInShell, "kill": runInShell,
		"hostname": runHostname, "uname": runUname, "date": runDate, "sleep": runSleep, "id": runID, "whoami": runWhoami,
		"systemctl": runSystemctl, "journalctl": runJournalctl, "modprobe": runModprobe, "lsmod": runLsmod, "sysctl": runSysctl,
		"timedatectl": runTimedatectl, "hostnamectl": runHostnamectl, "cloud-init": runCloudInit, "udevadm": runTrue, "swapoff": runTrue,
		"netplan": runNetplan, "reboot": runReboot, "poweroff": runReboot, "shutdown": runReboot, "timeout": runTimeout, "nohup": runNohup,
		"seq": runSeq, "uptime": runUptime, "which": runCommandV, "logger": runTrue, "dpkg": runDpkg,
		"ip": runIP, "curl": runCurl, "bridge": runBridge, "ss": runSS,
		replaced + "pwd": runPwd, replaced + "umask": runUmask, replaced + "ulimit": runUlimit, replaced + "command": runCommandV,
		replaced + "type": runCommandV, replaced + "hash": runCommandV, replaced + "set": runSet,
		"pwd": runPwd,
	}
	maps.Copy(all, filePrograms())
	maps.Copy(all, netfilterPrograms())
	return all
}

func runSeq(_ context.Context, p *process) int {
	from, to := 1, 0
	var err error
	switch len(p.args) {
	case 1:
		to, err = strconv.Atoi(p.args[0])
	case 2:
		from, err = strconv.Atoi(p.args[0])
		if err == nil {
			to, err = strconv.Atoi(p.args[1])
		}
	default:
		err = errors.New("one or two operands")
	}
	if err != nil {
		return p.usage(err)
	}
	for i := from; i <= to; i++ {
		p.printf("%d\n", i)
	}
	return 0
}

func runHostname(_ context.Context, p *process) int {
	name := p.guest.hostname()
	if p.session.pod != nil {
		name = p.session.pod.Name
	}
	switch {
	case len(p.args) > 1:
		return p.unknown(strings.Join(p.args, " "))
	case len(p.args) == 0 || p.args[0] == "-s" || p.args[0] == "-f":
		p.printf("%s\n", name)
	case p.args[0] == "-I":
		var all []string
		for _, l := range p.guest.links() {
			if ip, ok := firstIPv4(l); ok && l.Kind != "loopback" {
				all = append(all, ip.String())
			}
		}
		p.printf("%s \n", strings.Join(all, " "))
	default:
		return p.unknown(strings.Join(p.args, " "))
	}
	return 0
}

func runUname(_ context.Context, p *process) int {
	given, args, err := options(p.args, "r s m n a v o")
	if err != nil {
		return p.usage(err)
	}
	if len(args) > 0 {
		return p.unknown(strings.Join(args, " "))
	}
	var words []string
	for _, f := range []struct{ flag, word string }{
		{"s", "Linux"}, {"n", p.guest.hostname()}, {"r", kernelVersion}, {"v", "#174-Ubuntu SMP"}, {"m", "x86_64"}, {"o", "GNU/Linux"},
	} {
		if is(given, f.flag, "a") || f.flag == "s" && len(given) == 0 {
			words = append(words, f.word)
		}
	}
	p.printf("%s\n", strings.Join(words, " "))
	return 0
}

func runUptime(_ context.Context, p *process) int {
	if len(p.args) > 0 {
		return p.unknown(strings.Join(p.args, " "))
	}
	up := p.guest.now.Sub(p.guest.bootTime())
	p.printf(" %s up %d min,  1 user,  load average: 0.10, 0.05, 0.01\n", p.guest.clock().UTC().Format("15:04:05"), int(up.Minutes()))
	return 0
}

func runWhoami(_ context.Context, p *process) int {
	p.printf("%s\n", p.session.user)
	return 0
}

func runID(_ context.Context, p *process) int {
	given, args, err := options(p.args, "u g n")
	if err != nil {
		return p.usage(err)
	}
	if len(args) > 0 {
		return p.unknown(strings.Join(args, " "))
	}
	id := 1000
	if p.session.user == "root" {
		id = 0
	}
	switch {
	case is(given, "n"):
		p.printf("%s\n", p.session.user)
	case is(given, "u", "g"):
		p.printf("%d\n", id)
	default:
		p.printf("uid=%d(%s) gid=%d(%s) groups=%d(%s)\n", id, p.session.user, id, p.session.user, id, p.session.user)
	}
	return 0
}

func runDpkg(_ context.Context, p *process) int {
	if len(p.args) == 1 && p.args[0] == "--print-architecture" {
		p.printf("amd64\n")
		return 0
	}
	return p.unknown(strings.Join(p.args, " "))
}

// runReboot is reboot, poweroff and shutdown.
func runReboot(_ context.Context, p *process) int {
	if p.session.user != "root" {
		fmt.Fprintf(p.stderr, "Failed to set wall message, ignoring: Interactive authentication required.\n"+
			"Failed to %s system via logind: Interactive authentication required.\n", p.name)
		return 1
	}
	args := slices.DeleteFunc(slices.Clone(p.args), func(a string) bool {
		return p.name == "shutdown" && slices.Contains([]string{"-h", "-P", "-r", "now"}, a)
	})
	if len(args) > 0 || p.name == "shutdown" && !slices.Contains(p.args, "now") {
		return p.unknown(strings.Join(p.args, " "))
	}
	off := p.name == "poweroff" || p.name == "shutdown" && !slices.Contains(p.args, "-r")
	change := restartMachine
	if off {
		change = stopMachine
	}
	if err := change(p.session.world.dir, p.guest.machine.UUID, time.Now().UTC()); err != nil {
		return p.fail("%v", err)
	}
	return 0
}

func runHostnamectl(_ context.Context, p *process) int {
	if len(p.args) == 2 && (p.args[0] == "set-hostname" || p.args[0] == "hostname") {
		if p.session.user != "root" {
			return p.fail("Could not set static hostname: Interactive authentication required.")
		}
		if err := p.guest.files.write("/etc/hostname", "root", 0o644, []byte(p.args[1]+"\n")); err != nil {
			return p.fail("%v", err)
		}
		return 0
	}
	return p.unknown(strings.Join(p.args, " "))
}

func runCloudInit(_ context.Context, p *process) int {
	given, args, err := options(p.args, "wait long l format=")
	if err != nil {
		return p.usage(err)
	}
	if len(args) != 1 || args[0] != "status" {
		return p.unknown(strings.Join(p.args, " "))
	}
	problems := p.guest.state.Problems
	status := "done"
	if len(problems) > 0 {
		status = "error"
	}
	if given["format"] == "json" {
		data, err := json.Marshal(map[string]any{"status": status, "errors": append([]string{}, problems...), "datasource": "nocloud"})
		if err != nil {
			return p.fail("%v", err)
		}
		p.printf("%s\n", data)
	} else {
		p.printf("status: %s\n", status)
	}
	if is(given, "long", "l") {
		p.printf("errors:\n")
		for _, e := range problems {
			p.printf("\t- %s\n", e)
		}
	}
	if status == "error" {
		return 1
	}
	return 0
}
