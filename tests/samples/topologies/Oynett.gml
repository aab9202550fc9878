graph [
  DateObtained "22/10/10"
  GeoLocation "Europe"
  GeoExtent "Continent"
  Network "&#216;ynett "
  Creator "Topology Zoo Toolset"
  label "oynett"
  # Two islands of the map are joined to nothing.
  node [
    id 0
    label "Reykjav&#237;k"
    Country "Iceland"
    Longitude -21.89541
    Internal 1
    Latitude 64.13548
    type "PoP"
    graphics [ x 1.0 y 2.0 ]
  ]
  node [
    id 1
    label "Tórshavn"
    Longitude -6.77164
    Internal 1
    Latitude 62.00973
  ]
  node [
    id 2
    label "Lerwick"
    Longitude -1.14
    Internal 1
    Latitude 60.15
  ]
  node [
    id 3
    label "Lerwick"
    Longitude -1.14
    Internal 1
    Latitude 60.15
  ]
  node [
    id 4
    label "Kirkwall"
    Internal 1
  ]
  node [
    id 5
    label "Aberdeen"
    Longitude -2.09814
    Internal 1
    Latitude 57.14369
  ]
  node [
    id 6
    label "North America"
    Internal 0
  ]
  node [
    id 7
    label "Funchal"
    Longitude -16.92
    Internal 1
    Latitude 32.65
  ]
  node [
    id 8
    label "Porto Santo"
    Longitude -16.34
    Internal 1
    Latitude 33.07
  ]
  node [
    id 9
    label "St Kilda"
    Longitude -8.58
    Internal 1
    Latitude 57.81
  ]
  edge [
    source 0
    target 1
    LinkLabel "Blue"
  ]
  edge [
    source 0
    target 1
    LinkLabel "Green"
  ]
  edge [
    source 0
    target 6
    LinkLabel "OC-48"
  ]
  edge [
    source 1
    target 2
    LinkSpeed "2.5"
    LinkSpeedUnits "G"
    LinkLabel "2.5 Gbps"
    LinkSpeedRaw 2500000000.0
  ]
  edge [
    source 2
    target 3
    LinkLabel "100 Mbps"
    id "e7"
  ]
  edge [
    source 3
    target 4
    LinkLabel "2*45Mbps"
  ]
  edge [
    source 4
    target 5
    LinkLabel "T3"
  ]
  edge [
    source 1
    target 5
    LinkLabel ">= 622 Mbps"
  ]
  edge [
    source 7
    target 8
    LinkLabel "1 Gbps"
  ]
]
