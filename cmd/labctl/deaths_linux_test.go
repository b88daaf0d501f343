package main

// chosenDeaths are points of dying at all kinds of steps, few enough for every run of the tests.
func chosenDeaths() []death {
	commands := map[string]*killable{}
	for _, c := range killables() {
		commands[c.name] = c
	}
	var rows []death
	add := func(command string, w way, after bool, steps ...string) {
		for _, step := range steps {
			rows = append(rows, death{commands[command], moment{step: step, after: after}, w})
		}
	}
	const before, after = false, true

	add("up", killed, before,
		"VBoxManage hostonlyif create",
		"VBoxManage createvm",
		"VBoxManage storageattach port 0",
		"dial images.simulated:80",
		"dial a node's sshd",
		"agent: push k3s",
		"server: put k3s in its place",
	)
	add("up", killed, after,
		"VBoxManage setextradata global labctl/network-pending/lab",
		"VBoxManage hostonlyif create",
		"VBoxManage hostonlyif ipconfig vboxnet1",
		"VBoxManage setextradata global labctl/network/vboxnet1",
		"VBoxManage clonemedium disk ubuntu-22.04-server-cloudimg-amd64.img",
		"VBoxManage modifymedium disk base-20GiB.vdi.part.vdi",
		"VBoxManage createvm",
		"VBoxManage setextradata VM labctl/lab",
		"VBoxManage modifyvm VM --nat-pf1",
		"VBoxManage storagectl VM --name",
		"VBoxManage createmedium",
		"VBoxManage startvm VM --type",
		"server: push k3s",
		"agent: put k3s in its place",
		"server: push config.yaml",
		"server: start k3s",
		"server: sudo cat /var/lib/rancher/k3s/server/node-token",
		"server: sudo kubectl delete --ignore-not-found",
		"agent: start k3s",
		"server: sudo kubectl apply -f",
	)
	add("up", interrupted, before, "VBoxManage hostonlyif create", "VBoxManage createvm", "server: push k3s")
	add("up", interrupted, after, "VBoxManage clonemedium disk ubuntu-22.04-server-cloudimg-amd64.img", "VBoxManage startvm VM --type", "agent: start k3s")
	add("up", stuck, before, "VBoxManage createmedium", "dial a node's sshd", "server: push k3s")
	add("up", twice, after, "VBoxManage hostonlyif create", "VBoxManage createvm", "server: start k3s")
	add("up", hungUp, after, "VBoxManage createvm", "VBoxManage startvm VM --type", "server: push k3s")

	add("down", killed, before, "VBoxManage controlvm VM acpipowerbutton")
	add("down", killed, after, "VBoxManage controlvm VM acpipowerbutton", "VBoxManage showvminfo VM --machinereadable")
	add("down", interrupted, after, "VBoxManage controlvm VM acpipowerbutton")
	add("down", stuck, before, "VBoxManage controlvm VM acpipowerbutton")
	add("down", twice, before, "VBoxManage controlvm VM acpipowerbutton")
	add("down", hungUp, after, "VBoxManage controlvm VM acpipowerbutton")

	const restore = "VBoxManage snapshot VM restore"
	add("restore", killed, before, "VBoxManage controlvm VM poweroff", restore)
	add("restore", killed, after, "VBoxManage controlvm VM poweroff", restore, "VBoxManage startvm VM --type")
	add("restore", interrupted, after, restore)
	add("restore", stuck, before, restore)
	add("restore", twice, after, restore)
	add("restore", hungUp, after, restore)

	rows = append(rows, death{commands["save"], moment{step: "VBoxManage snapshot VM take", after: true, nth: 2}, killed}) // the last one: it is complete
	add("save", killed, after, "VBoxManage controlvm VM acpipowerbutton", "VBoxManage snapshot VM take")

	const edit, restart, wait = "agent: sudo sed -i 's/^node-ip:/#&/'", "agent: sudo systemctl restart k3s-agent", "server: kubectl get node w1"
	add("break", killed, before, "dial a node's sshd", edit)
	add("break", killed, after, edit, restart, wait)
	add("break", interrupted, after, edit)
	add("break", stuck, before, restart)
	add("break", twice, after, restart)
	add("break", hungUp, after, edit)

	add("destroy", killed, before, "VBoxManage controlvm VM poweroff", "VBoxManage unregistervm VM --delete")
	add("destroy", killed, after,
		"VBoxManage controlvm VM poweroff",
		"VBoxManage storageattach port 0 none",
		"VBoxManage closemedium dvd seed.iso",
		"VBoxManage closemedium disk disk.vdi --delete",
		"VBoxManage unregistervm VM --delete",
		"VBoxManage closemedium disk base-20GiB.vdi",
		"VBoxManage hostonlyif remove vboxnet1",
		"VBoxManage setextradata global labctl/network/vboxnet1 (delete)",
	)
	add("destroy", interrupted, before, "VBoxManage unregistervm VM --delete", "VBoxManage hostonlyif remove vboxnet1")
	add("destroy", interrupted, after, "VBoxManage controlvm VM poweroff")
	add("destroy", stuck, before, "VBoxManage closemedium disk disk.vdi --delete")
	add("destroy", twice, after, "VBoxManage unregistervm VM --delete")
	add("destroy", hungUp, after, "VBoxManage closemedium disk disk.vdi --delete", "VBoxManage unregistervm VM --delete")
	return rows
}
