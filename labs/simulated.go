package labs

import "strings"

// simulated ends before the command that shows what this computer would see.
var simulated = Text{
	EN: "This lab is simulated: {{.Network.CIDR}} exists inside labctl only, and `curl` on this computer finds nothing there. Read those " +
		"commands instead of typing them, change no route of this computer for them, and let labctl call the lab from outside:",
	KO: "이 실습 환경은 시뮬레이션이다. {{.Network.CIDR}} 대역은 labctl 안에만 있어서 이 컴퓨터에서 `curl`을 실행해도 아무것도 찾지 못한다. " +
		"그런 명령은 입력하지 말고 읽기만 하고, 그것 때문에 이 컴퓨터의 경로를 바꾸지도 않는다. 바깥에서 호출해 보는 일은 labctl에게 맡긴다:",
}

// callsFromHere says whether a rendered text has its reader type something else than labctl on this computer.
func callsFromHere(body string) bool {
	for _, s := range Steps(body) {
		if s.Node == "" && s.LabFile == "" && !strings.HasPrefix(s.Command, "labctl ") {
			return true
		}
	}
	return false
}
